"""From any picture of an ECG page to a flat page of known scale."""
