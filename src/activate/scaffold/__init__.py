"""What `dbt-activate init` adds to a dbt project, and the dbt files that are generated from Activate's own definitions."""
