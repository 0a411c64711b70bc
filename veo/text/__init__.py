"""Texts of users and files: spellings that people use, and parsers with limits."""
