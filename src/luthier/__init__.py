"""From raw support logs to a fine-tuned, served and monitored chatbot."""
