"""The pages: server-rendered, complete without script; one file a part of the house."""
