"""The bundled workflows and blueprints, each described once. scripts/templates.py makes the files."""
