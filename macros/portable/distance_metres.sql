{#- The great-circle distance in metres between two points in degrees: the haversine formula on a sphere of 6,371,009 m,
    which is within 0.6 % of the ellipsoid. `least` keeps rounding from leaving the domain of asin. -#}
{%- macro distance_metres(latitude_a, longitude_a, latitude_b, longitude_b) -%}
  (2 * 6371009 * asin(sqrt(least(1.0,
    power(sin(radians({{ latitude_b }} - {{ latitude_a }}) / 2), 2)
    + cos(radians({{ latitude_a }})) * cos(radians({{ latitude_b }}))
      * power(sin(radians({{ longitude_b }} - {{ longitude_a }}) / 2), 2)
  ))))
{%- endmacro -%}
