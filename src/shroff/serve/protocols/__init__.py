"""The interfaces of other systems on the same port: Azure ML, Open Inference, TensorFlow Serving,
MLflow.

A row that names the payment's id is a payment: it is decided as at `/v1/decisions`, durable and
counted once. A row without it holds the model's inputs, ready made: it is scored and leaves no
trace. Errors have each protocol's own shape and never repeat what was sent.
"""
