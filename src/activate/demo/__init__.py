"""A made-up shop: weeks of believable events, built by the reference dbt project and replayed tick by tick."""
