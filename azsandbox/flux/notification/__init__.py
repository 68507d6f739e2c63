"""notification-controller: receives webhooks and passes events on."""
