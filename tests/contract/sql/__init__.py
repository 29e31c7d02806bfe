"""The contract of databases (`service.ports.database`): one suite that every one of them passes."""
