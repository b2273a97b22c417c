"""Is this machine, this data folder and this instance fit to work? One function a question, each with its next step."""
