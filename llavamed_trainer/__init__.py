"""LLaVA-Med's curriculum on TRL: assemble a model, plan, train, predict, score.

What a script needs is in the sub-packages: `collate`, `training`, `assembly`, `recipes`, `running`, `planning`,
`evaluation`.
"""
