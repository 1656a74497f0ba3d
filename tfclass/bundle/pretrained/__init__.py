"""The models that ship with tfclass, one folder each."""
