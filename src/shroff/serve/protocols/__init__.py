"""Other systems' protocols on the same port: Azure ML, Open Inference, TensorFlow Serving, MLflow.

A row with the payment's id is a payment: it is decided as at `/v1/decisions`, durable and counted
once. A row without it holds ready-made inputs of the model: it is scored, and nothing is recorded.
Errors have each protocol's own shape and never repeat a value.
"""
