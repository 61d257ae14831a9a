"""Hands the outbox over to providers: the only folder that renders, posts, mails and writes files."""
