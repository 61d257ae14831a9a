"""Asking without SQL: a marketer's request becomes a dbt model with tests, docs and a count from the warehouse.

answer      the story: read, check, compile, count, write
lint        the same up to the check, for every request of the project
lines       the request as numbered lines
phrases     each line in words
known       what the warehouse has: columns, event names, JSON keys, segments
check       what no model has is refused, with the nearest match
values      a warning for values that nobody has
question    a request that was checked, and the names of what is counted
names       readable names of columns, and quotes for those that need them
place       where a query runs: in a dbt model, or in the warehouse right now
query       the request as a query, for either place
comparison  a comparison as a tree
printing    a query as the text of a dbt model
people      made-up people who fit and who just do not, for a unit test
rehearse    asks the query about made-up rows
files       the model's two files, and what keeps them from being overwritten
view        what the terminal shows
"""
