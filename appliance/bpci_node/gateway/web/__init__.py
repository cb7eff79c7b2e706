"""The machine's web face behind its own sign-in: sessions, dashboard, named actions. A process of its own."""
