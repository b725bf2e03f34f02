"""From a source to datasets: `steps` is the method of the paper's section 3, `builds` puts the steps together."""
