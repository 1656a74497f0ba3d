"""From scores to a report that a reviewer believes: tables, figures, a page, and the comparison of reports."""
