"""Engines: they compute the same definitions to the same values, to the bit.

    batch    a table on one machine, in memory or larger than it
    spark    a table on a cluster: Spark moves the rows of a key together, and the batch engine
             computes them there
    online   one payment at a time, with the state in this process or, shared, in Redis

Batch and online know nothing of each other; Spark imports batch. In each of them `engine` is the
file to begin with. They share the files beside them: `subplans` (the aggregates of one key), `rows`
(features of a payment alone), `embedding` (vectors of tokens) and `replay` (a table through an
online engine).
"""
