-- Stops the schedule; a SyncRun made by hand still runs.
obj.spec.suspend = true
return obj
