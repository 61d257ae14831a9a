"""What `dbt-activate init` adds to a dbt project, and the dbt files that are made from Activate's own definitions."""
