"""Trained experts as they are read: their weights, their manifests and where they lie; those in closed form are in envs/.

Every byte is checked and nothing in a file is executed. How experts are made is in experts/training/.
"""
