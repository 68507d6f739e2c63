"""notification-controller: events out to whom Alerts and Providers name, web hooks in by Receivers.

event_server      takes the controllers' events, finds the Alerts that they fit, dispatches
alerts            which events fit an Alert, and the metadata that they get
dispatch          a Provider and its Secrets, made into a notifier
notifiers         a module a family of services
posting           HTTP with the retries that the notifiers have
receivers         the Receivers' paths
receiver_server   answers web hooks, and asks for reconciliations
web_hooks         what each type of Receiver checks of a request
providers         the finalizers of Providers and Alerts
"""
