"""Memory: settings, rules, values, and the verbs that a workflow remembers with."""
