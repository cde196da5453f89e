"""The part of pulse-edge that runs where the patient is: bundle in, page image in, words out. No torch, ever."""
