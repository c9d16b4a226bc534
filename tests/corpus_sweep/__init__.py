"""Run the commands over a folder of captures, and let others judge what they did."""
