"""The developer's inbox: mail caught, shown and waited for, and replies on demand."""
