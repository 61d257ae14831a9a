"""One function per question asked across rules, dbt models and templates; `load/check.py` lists them."""
