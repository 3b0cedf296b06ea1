"""From a named cause to a typed action that may mend it: suggested, never carried out here."""
