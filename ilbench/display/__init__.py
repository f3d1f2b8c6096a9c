"""Display: how numbers, tables and lines look; knows no records."""
