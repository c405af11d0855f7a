"""Asks a database what a changelog would change, and changes it in phases: one program for Liquibase and Flyway."""
