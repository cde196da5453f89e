"""P, QRS and T in a signal: where each begins and ends, and what a recorder measures of them. numpy alone."""
