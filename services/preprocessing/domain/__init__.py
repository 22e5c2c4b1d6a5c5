"""How a record becomes a row, on which side it falls, and which rows a dataset takes."""
