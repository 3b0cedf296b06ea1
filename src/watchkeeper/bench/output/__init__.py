"""What is shown of records: tables, pictures, pages."""
