"""image-reflector-controller and image-automation-controller: tags of images, chosen and written back to Git.

image_repositories   tags in registries
tags                 what was found, in one process's memory
registry_access      how a registry is reached
image_policies       which tag is the latest
policies             the orders in which tags are compared
updates              ImageUpdateAutomation
policy_choice        the policies that it goes by
setters              marks in YAML, and what takes their place
commit_message       what a commit says, by a template of Go's
git_source           where it takes files from and pushes them to
git_objects          commits, as git keeps them
git_push             pushes, as go-git makes them
outcomes             how a reconciliation ends, and what it tells
"""
