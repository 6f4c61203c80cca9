"""Whatever can be sent to, stored beside or given to the service, and what became of it: see
`__main__`.
"""
