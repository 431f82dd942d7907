"""The config, `ci-budget.yml`: models, reading, schema, a first one."""
