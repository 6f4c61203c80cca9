"""The common machinery of the neural detectors: formulas in three engines, inputs, centres,
training, export.

A network is a set of named arrays and a formula over them. The formula is written once, against
`Ops`, and runs in NumPy (scores), as an ONNX graph (serving) and in Keras (training, SavedModel),
so the three agree by construction. Only `keras_ops` imports Keras, and only to train or to export a
SavedModel.
"""
