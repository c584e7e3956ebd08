-- Ends the run; what it has exported stays, and the next run goes on.
obj.spec.cancel = true
return obj
