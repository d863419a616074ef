"""What one SMTP host says to another: the reply as a value (RFC 5321 section 4.2)."""

from postroad.replies.reply import EnhancedStatus, Reply, ReplySyntaxError, Severity

__all__ = ["EnhancedStatus", "Reply", "ReplySyntaxError", "Severity"]
