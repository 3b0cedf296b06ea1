"""What users bring: models that are commands, data sets that are folders of Parquet, told in one TOML file."""
