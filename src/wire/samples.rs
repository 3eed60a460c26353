//! At least one message of every kind, for tests and as seeds of a fuzzer's corpus.
