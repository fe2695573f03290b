"""The public Python API: one function per verb, gathered on `bvc.api.handle.Repo`. Layer 3."""
