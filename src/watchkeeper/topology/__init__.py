"""What is there and how it hangs together; see builder.py, cmdb.py and topologies.py."""
