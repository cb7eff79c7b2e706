"""Alerts: who is told, how Alertmanager hands a notification on, and what is measured beside the node's own figures.

Prometheus finds what is wrong, Alertmanager groups, repeats and silences; :mod:`relay` delivers to people (ADR 0134).
"""
