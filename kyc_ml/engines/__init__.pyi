from .spark.contracting import check_table as check_table
