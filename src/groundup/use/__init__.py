"""What a person does with a trained model in a terminal: let it write, talk to it, let it sort messages."""
