"""What the neural detectors share: one formula in three engines, inputs, centres, training, export.

A network is a set of named arrays and a formula over them. The formula is written once, against `Ops`, and runs in
NumPy (scores), as an ONNX graph (serving) and in Keras (training, SavedModel), so the three agree by construction.
Keras is imported in `library` only, and there only when a detector learns or is exported to a SavedModel.
"""
