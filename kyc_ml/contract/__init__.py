"""The data contract: what tables hold, how a user's files become them, what is refused."""
