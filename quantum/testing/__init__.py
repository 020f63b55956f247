"""What tests of any room share, shipped with the program: topologies, transcripts, conformance checks."""
