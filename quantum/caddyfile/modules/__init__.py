"""Modules that several directives and options name: matchers, issuers, pools, writers, encoders."""
